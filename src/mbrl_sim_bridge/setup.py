from setuptools import find_packages, setup

package_name = 'mbrl_sim_bridge'

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
    description='MuJoCo simulations as a ROS 2 robot: lockstep stepping, resets and rendering',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={
        'console_scripts': ['sim_bridge = mbrl_sim_bridge.sim_bridge_node:main'],
        'mbrl_sim_bridge.environments': [
            'baoding_pddm = mbrl_sim_bridge.environments.baoding_pddm:BaodingPddm',
            'cartpole_pets = mbrl_sim_bridge.environments.cartpole_pets:CartpolePets',
            'cliff = mbrl_sim_bridge.environments.cliff:Cliff',
            'cube_pddm = mbrl_sim_bridge.environments.cube_pddm:CubePddm',
            'gymnasium = mbrl_sim_bridge.environments.gymnasium_mujoco:GymnasiumEnvironment',
            'half_cheetah_pets = mbrl_sim_bridge.environments.pets:half_cheetah_pets',
            'mjcf = mbrl_sim_bridge.environments.mjcf:MjcfEnvironment',
            'point_maze = mbrl_sim_bridge.environments.point_maze:PointMaze',
            'pusher_pets = mbrl_sim_bridge.environments.pets:pusher_pets',
            'reacher_pets = mbrl_sim_bridge.environments.pets:reacher_pets',
            'valve_pddm = mbrl_sim_bridge.environments.valve_pddm:ValvePddm',
        ],
    },
)
