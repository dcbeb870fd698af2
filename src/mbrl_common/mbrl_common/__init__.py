"""What every node shares. Only ``node``, ``qos`` and ``testing`` need ROS."""
