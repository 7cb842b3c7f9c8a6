"""Runs the command."""

from cli.main import main

main(prog_name="fairslot")
