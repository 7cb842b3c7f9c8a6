"""Ports for the programs of the local stack."""

import random
import socket
from pathlib import Path

from local.processes import free_port

_KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_is_outside_the_kernels_range() -> None:
    """Or a connection could take it before the program that it is for has started."""
    lowest = int(_KERNELS.read_text("utf-8").split()[0]) if _KERNELS.exists() else 49_152
    ports = [free_port() for _ in range(20)]
    assert all(1_023 < port < lowest for port in ports)
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_free_ports_differ_between_processes_with_the_same_seed() -> None:
    """Tests that run side by side seed their random numbers alike."""
    random.seed(1)
    first = [free_port() for _ in range(5)]
    random.seed(1)
    assert [free_port() for _ in range(5)] != first
