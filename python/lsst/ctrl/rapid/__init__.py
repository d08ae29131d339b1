"""A long-lived PipelineTask executor: data arrives, warm workers reduce it, one writer registers it."""

__version__ = "0.1.0"
