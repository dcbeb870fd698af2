from setuptools import find_packages, setup

package_name = 'mbrl_planner'

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
    description='Planning in a learned dynamics model: CEM and iCEM, rollouts, objectives',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={
        'console_scripts': ['planner = mbrl_planner.planner_node:main'],
        'mbrl_planner.optimizers': [
            'cem = mbrl_planner.cem:Cem',
            'gradient = mbrl_planner.gradient:Gradient',
            'hybrid = mbrl_planner.hybrid:Hybrid',
            'icem = mbrl_planner.icem:Icem',
            'mppi = mbrl_planner.mppi:Mppi',
            'pddm = mbrl_planner.pddm:Pddm',
            'random_shooting = mbrl_planner.random_shooting:RandomShooting',
        ],
        'mbrl_planner.objectives': [
            'baoding_pddm = mbrl_planner.objectives.baoding:baoding_pddm',
            'cartpole_swingup = mbrl_planner.objectives.cartpole:cartpole_swingup',
            'cube_pddm = mbrl_planner.objectives.cube:cube_pddm',
            'distance = mbrl_planner.objectives.distance:distance',
            'inverted_double_pendulum = '
            'mbrl_planner.objectives.double_pendulum:inverted_double_pendulum',
            'progress = mbrl_planner.objectives.progress:progress',
            'quadratic = mbrl_planner.objectives.quadratic:quadratic',
            'tracking = mbrl_planner.objectives.tracking:tracking',
            'valve_pddm = mbrl_planner.objectives.valve:valve_pddm',
        ],
    },
)
