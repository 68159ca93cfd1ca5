"""The report of a finished run: one PDF, its tables and figures, made from files alone and without torch."""

from mmbench.report.build import build_report
from mmbench.report.summary import build_summary

__all__ = ["build_report", "build_summary"]
