from setuptools import find_packages, setup

package_name = 'mbrl_dynamics'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='MBRL ROS maintainers',
    maintainer_email='maintainers@mbrl-ros.example',
    description='Learned dynamics: dataset on disk, probabilistic ensembles, training, snapshots',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': ['dynamics = mbrl_dynamics.dynamics_node:main']},
)
