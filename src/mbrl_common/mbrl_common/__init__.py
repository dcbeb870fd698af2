"""What every node of the suite shares. Nothing imported here needs ROS, except ``node`` and ``qos``."""
