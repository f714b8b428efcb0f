"""Executes a notebook and keeps the executed copy: execute.py NOTEBOOK COPY. Fails where a cell fails."""

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

source, copy = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
try:
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
except CellExecutionError as error:
    sys.exit(f"{source}: a cell failed\n{error}")
finally:
    nbformat.write(notebook, copy)
