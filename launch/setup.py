from glob import glob

from setuptools import find_packages, setup

package_name = 'mbrl_bringup'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={
        package_name: ['py.typed', 'this_machine.xml'],
        f'{package_name}.bench': ['*.yaml'],
        f'{package_name}.report': ['page.html', 'page.css'],
        f'{package_name}.watch': ['page.html', 'page.css', 'page.js'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/launch', glob('*.launch.py')),
        ('share/' + package_name + '/config', glob('config/*.yaml')),
        ('share/' + package_name + '/security', glob('security/*.xml')),
        ('share/' + package_name + '/rviz', glob('rviz/*.rviz')),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='MBRL ROS maintainers',
    maintainer_email='maintainers@mbrl-ros.example',
    description='Brings up the model-based reinforcement learning suite',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': ['mbrl = mbrl_bringup.cli:main']},
)
