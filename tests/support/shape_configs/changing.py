# ruff: noqa: F821 -- the configuration is given
# What the instrument wants of every pipeline's "changing" task.
config.doFlat = True
config.connections.prefix = "shape_cam"
