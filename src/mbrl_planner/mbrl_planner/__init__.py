"""Planning in a learned dynamics model. Nothing here needs ROS, except ``planner_node``."""
