"""Learned dynamics: dataset, models, training, snapshots. Only ``dynamics_node`` needs ROS."""
