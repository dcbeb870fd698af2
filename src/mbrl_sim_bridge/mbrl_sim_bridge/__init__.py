"""MuJoCo simulations as a ROS 2 robot. Only ``sim_bridge_node`` needs ROS."""
