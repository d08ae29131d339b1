# ruff: noqa: F821 -- the configuration is given
config.connections.prefix = "shape_cam"
