"""Planning in a learned dynamics model. Nothing imported here needs ROS, except ``planner_node``."""
