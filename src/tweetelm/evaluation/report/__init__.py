"""The evaluation report: HTML, Markdown and the files for machines."""
