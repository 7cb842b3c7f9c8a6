"""Findings of linters and their reasons: neither is there without the other."""

import yaml

from tests.support.cloudformation import ROOT
from tools.template_checks import Finding, unexplained

ONE = Finding("checkov", "CKV_AWS_1", "Queue", "Ensure something")
REASON = {"checkov": {"CKV_AWS_1": {"why": "It is so."}}}


def test_a_finding_without_a_reason_is_named() -> None:
    """By its tool, rule and resource."""
    assert unexplained([ONE], {}) == ["checkov CKV_AWS_1 Queue: Ensure something"]
    assert unexplained([ONE], REASON) == []


def test_a_reason_is_for_the_resources_that_it_names() -> None:
    """Another one needs its own."""
    narrow = {"checkov": {"CKV_AWS_1": {"why": "It is so.", "only": ["Queue"]}}}
    assert unexplained([ONE], narrow) == []
    assert len(unexplained([ONE, ONE._replace(resource="Topic")], narrow)) == 1


def test_a_reason_without_a_finding_goes() -> None:
    """It would hide the next one."""
    assert unexplained([], REASON) == ["checkov CKV_AWS_1: no longer found; take its reason out"]


def test_every_reason_is_a_sentence() -> None:
    """In the one file that has them."""
    reasons = yaml.safe_load((ROOT / "template-checks.yaml").read_text("utf-8"))
    assert {*reasons} == {"checkov", "cfn-lint"}
    for rules in reasons.values():
        assert all(one["why"].endswith(".") for one in rules.values())
