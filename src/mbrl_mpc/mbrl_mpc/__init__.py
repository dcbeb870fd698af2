"""Receding-horizon control through a learned model. Only ``mpc_controller_node`` needs ROS."""
