"""SAM3 as graphs for export. Needs torch and transformers; nothing at run time imports it."""

from respray.segmentation.export.graphs.build_graphs import Graphs, build_graphs

__all__ = ["Graphs", "build_graphs"]
