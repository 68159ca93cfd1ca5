"""Connectors: image tokens of the encoder's width to the language model's, and how many; one file a kind."""

from mmbench.nn.connectors.build import CONNECTORS, build_connector, connector_class
from mmbench.nn.connectors.connector import Connector, Grid

__all__ = ["CONNECTORS", "Connector", "Grid", "build_connector", "connector_class"]
