"""``mbrl record``: what a graph says, as a bag that ``ros2 bag play`` and Foxglove take."""
