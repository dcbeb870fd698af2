"""MuJoCo simulations as a ROS 2 robot. Nothing imported here needs ROS, except ``sim_bridge_node``."""
