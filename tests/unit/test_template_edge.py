"""The edge of template.yaml: CloudFront is the only way in, pages and API are behind one address."""

from typing import Any

import pytest

from tests.support.cloudformation import environment, functions, resources, sources, template

CONFIG = resources("AWS::CloudFront::Distribution")["Distribution"]["DistributionConfig"]
ORIGINS = {one["Id"]: one for one in CONFIG["Origins"]}
BEHAVIORS: dict[str, dict[str, Any]] = {one["PathPattern"]: one for one in CONFIG["CacheBehaviors"]}
HTTP = sorted({name for name, _ in sources("HttpApi")})


def test_pages_and_api_have_one_address() -> None:
    """The API under /api/, what coaches and providers call and health beside it, the rest from the bucket."""
    assert CONFIG["DefaultCacheBehavior"]["TargetOriginId"] == "pages"
    assert {path: one["TargetOriginId"] for path, one in BEHAVIORS.items()} == {
        "/api/*": "api",
        "/calendar-push/*": "api",
        "/connect/*": "api",
        "/health": "api",
    }
    paths = {source["Path"] for _, source in sources("HttpApi") if "Path" in source}
    beside = {path for path in paths if not path.startswith(("/api/", "/connect/", "/calendar-push/"))}
    assert beside == {"/health", "/openapi.json"}


def test_the_api_gets_every_method_and_header_but_the_host() -> None:
    """It is not cached, and would not know the viewer's host. Health is cached for seconds."""
    api = BEHAVIORS["/api/*"]
    assert BEHAVIORS["/connect/*"] == {**api, "PathPattern": "/connect/*"}
    assert {*api["AllowedMethods"]} >= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
    assert api["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert api["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    same = ("AllowedMethods", "CachePolicyId", "OriginRequestPolicyId")
    assert [BEHAVIORS["/calendar-push/*"][key] for key in same] == [api[key] for key in same]
    health = resources("AWS::CloudFront::CachePolicy")["HealthCaching"]["CachePolicyConfig"]
    assert 0 < health["MinTTL"] <= health["MaxTTL"] <= 10
    assert BEHAVIORS["/health"]["CachePolicyId"] == {"Ref": "HealthCaching"}


@pytest.mark.parametrize("name", HTTP)
def test_cloudfront_is_the_only_way_in(name: str) -> None:
    """It sends a secret that nobody has seen, and functions refuse whoever does not."""
    [header] = ORIGINS["api"]["OriginCustomHeaders"]
    secret = "{{resolve:secretsmanager:${OriginSecret}:SecretString}}"
    assert header == {"HeaderName": "X-Origin-Secret", "HeaderValue": {"Fn::Sub": secret}}
    given = environment(functions()[name])
    assert given["ORIGIN_SECRETS"] == {"Fn::If": ["HasEdge", {"Fn::Sub": secret}, ""]}
    assert given["ONLY_THROUGH_CLOUDFRONT"] == {"Fn::If": ["HasEdge", "true", "false"]}
    assert "GenerateSecretString" in resources("AWS::SecretsManager::Secret")["OriginSecret"]


def test_the_bucket_is_reached_by_cloudfront_alone() -> None:
    """By this distribution, and over TLS; nothing of it is public."""
    bucket = resources("AWS::S3::Bucket")["PagesBucket"]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    allowed, refused = resources("AWS::S3::BucketPolicy")["PagesBucketPolicy"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert "distribution/${Distribution}" in allowed["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    access = resources("AWS::CloudFront::OriginAccessControl")["PagesAccess"]["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], ORIGINS["pages"]["OriginAccessControlId"]) == (
        "always",
        {"Fn::GetAtt": "PagesAccess.Id"},
    )


def test_every_answer_has_the_security_headers() -> None:
    """What a page says itself of its content stays; the transport is always TLS."""
    behaviors = [CONFIG["DefaultCacheBehavior"], *BEHAVIORS.values()]
    assert all(one["ResponseHeadersPolicyId"] == {"Ref": "SecurityHeaders"} for one in behaviors)
    policy = resources("AWS::CloudFront::ResponseHeadersPolicy")["SecurityHeaders"]
    headers = policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 365 * 86400
    assert headers["ContentTypeOptions"] == {"Override": True}
    assert headers["ContentSecurityPolicy"]["Override"] is False
    assert {one["ViewerProtocolPolicy"] for one in behaviors} <= {"https-only", "redirect-to-https"}


def test_the_edge_can_be_left_out() -> None:
    """Whole: then clients reach the API's own address."""
    edge = {
        name
        for name, one in template()["Resources"].items()
        if one["Type"].startswith(("AWS::CloudFront::", "AWS::S3::", "AWS::WAFv2::"))
    }
    conditions = {template()["Resources"][name].get("Condition") for name in edge | {"OriginSecret"}}
    assert conditions == {"HasEdge", "MakesWebAcl"}


def test_large_notifications_pass_the_web_acl() -> None:
    """The common rules refuse bodies of more than 8 KB, and hold for all other paths."""
    rules = resources("AWS::WAFv2::WebACL")["WebAcl"]["Rules"]
    common = rules[0]["Statement"]["ManagedRuleGroupStatement"]
    assert common["Name"] == "AWSManagedRulesCommonRuleSet"
    left_out = common["ScopeDownStatement"]["NotStatement"]["Statement"]["ByteMatchStatement"]
    assert (left_out["PositionalConstraint"], left_out["SearchString"]) == ("STARTS_WITH", "/calendar-push/")
    assert not ["ScopeDownStatement" in str(one) for one in rules[1:] if "ScopeDownStatement" in str(one)]
