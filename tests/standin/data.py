"""RDS and ElastiCache: entries in ministack's lists, real servers here, with AWS's way in before them."""

import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from ministack.core.responses import get_account_id, get_region  # type: ignore[import-not-found]
from ministack.services import rds  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]
from psycopg import sql

from tests.standin.authority import Authority
from tests.standin.postgres_door import PostgresDoor
from tests.standin.tokens import Place, lets_in
from tests.standin.valkey_door import ValkeyDoor, command

if TYPE_CHECKING:
    from tests.standin.doors import Door

_DATABASE = "AWS::RDS::DBInstance"
_CACHE = "AWS::ElastiCache::ServerlessCache"
_PORT = 5432
# What a role that logs in by IAM has to be a member of.
_BY_IAM = "rds_iam"


def correct(*, postgres: str, valkey: str, authority: Path) -> None:
    """Let instances be databases of the Postgres, and caches the Valkey, by addresses of administrators.

    `authority` becomes the certificate that vouches for the endpoints.
    """
    handlers = provisioners._RESOURCE_HANDLERS  # noqa: SLF001
    vouched = Authority(authority)
    databases, caches = _Databases(postgres, vouched), _Caches(valkey, vouched)
    create, delete = handlers[_DATABASE]["create"], handlers[_DATABASE]["delete"]
    make_user = handlers["AWS::ElastiCache::User"]["create"]

    def created(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made, attributes = create(logical_id, properties, stack)
        return made, attributes | databases.make(made, properties)

    def deleted(physical_id: str, properties: dict[str, Any]) -> None:
        delete(physical_id, properties)
        databases.drop(physical_id, properties)

    def user_made(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = make_user(logical_id, properties, stack)
        caches.add_user(properties)
        return made

    handlers[_DATABASE] |= {"create": created, "delete": deleted}
    handlers["AWS::ElastiCache::User"] |= {"create": user_made}
    handlers[_CACHE] = {"create": caches.make, "delete": caches.drop}


class _Databases:
    """The databases that instances of RDS are."""

    def __init__(self, admin: str, authority: Authority) -> None:
        self._admin = admin
        self._authority = authority
        self._doors: dict[str, Door] = {}
        self._passwords: dict[str, str] = {}

    def make(self, instance: str, properties: dict[str, Any]) -> dict[str, str]:
        """Make the instance's roles and database; return its endpoint's attributes."""
        owner, name = sql.Identifier(properties["MasterUsername"]), sql.Identifier(properties["DBName"])
        with psycopg.connect(self._admin, autocommit=True) as connection:
            # An instance is empty.
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(owner))
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(_BY_IAM)))
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE").format(owner))
            grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION")
            connection.execute(grant.format(sql.Identifier(_BY_IAM), owner))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
            backend = connection.info.port
        account, region = get_account_id(), get_region()
        resource = rds._instances[instance]["DbiResourceId"]  # noqa: SLF001

        def password_of(user: str, token: str) -> str | None:
            place = Place(
                service="rds-db",
                host=f"{door.address}:{_PORT}",
                action="rds-db:connect",
                account=account,
                region=region,
            )
            arn = f"arn:aws:rds-db:{region}:{account}:dbuser:{resource}/{user}"
            asked = {"Action": "connect", "DBUser": user}
            return self._password(user) if lets_in(token, place, asked=asked, resources=[arn]) else None

        door = PostgresDoor(self._authority, port=_PORT, backend=backend, password_of=password_of)
        self._doors[instance] = door
        rds._instances[instance]["Endpoint"] |= {"Address": door.address, "Port": _PORT}  # noqa: SLF001
        return {"Endpoint.Address": door.address, "Endpoint.Port": str(_PORT)}

    def _password(self, user: str) -> str | None:
        """Return the password of a role that may log in by IAM; nobody else knows it."""
        if user not in self._passwords:
            with psycopg.connect(self._admin, autocommit=True) as connection:
                known = connection.execute(
                    "SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, %s, 'MEMBER')",
                    [user, _BY_IAM],
                ).rowcount
                if not known:
                    return None
                password = secrets.token_urlsafe(24)
                change = sql.SQL("ALTER ROLE {} PASSWORD {}")
                connection.execute(change.format(sql.Identifier(user), sql.Literal(password)))
            self._passwords[user] = password
        return self._passwords[user]

    def drop(self, instance: str, properties: dict[str, Any]) -> None:
        """Delete the instance's database."""
        self._doors.pop(instance).close()
        with psycopg.connect(self._admin, autocommit=True) as connection:
            name = sql.Identifier(properties["DBName"])
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class _Caches:
    """The caches, of which each is the same server."""

    def __init__(self, admin: str, authority: Authority) -> None:
        self._admin = urlsplit(admin)
        self._authority = authority
        self._doors: dict[str, Door] = {}
        self._passwords: dict[str, str] = {}

    def add_user(self, properties: dict[str, Any]) -> None:
        """Make a user with the rules of its access string."""
        user, password = properties["UserName"], secrets.token_urlsafe(24)
        self._ask("ACL", "SETUSER", user, "reset", f">{password}", *properties["AccessString"].split())
        self._passwords[user] = password

    def make(self, logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
        """Make a cache; return its name and its attributes."""
        name, account, region = properties["ServerlessCacheName"], get_account_id(), get_region()
        arn = f"arn:aws:elasticache:{region}:{account}:serverlesscache:{name}"

        def password_of(user: str, token: str) -> str | None:
            place = Place(
                service="elasticache", host=name, action="elasticache:Connect", account=account, region=region
            )
            asked = {"Action": "connect", "User": user, "ResourceType": "ServerlessCache"}
            arns = [arn, f"arn:aws:elasticache:{region}:{account}:user:{user}"]
            return self._passwords.get(user) if lets_in(token, place, asked=asked, resources=arns) else None

        backend = self._admin.port or 6379
        door = ValkeyDoor(self._authority, port=6379, backend=backend, password_of=password_of)
        self._doors[name] = door
        return name, {"ARN": arn, "Endpoint.Address": door.address, "Endpoint.Port": str(door.port)}

    def drop(self, physical_id: str, properties: dict[str, Any]) -> None:
        """Delete a cache."""
        self._doors.pop(physical_id).close()

    def _ask(self, *words: str) -> None:
        """Have the administrator run a command."""
        with socket.create_connection((str(self._admin.hostname), self._admin.port or 6379)) as connection:
            for one in (("AUTH", self._admin.password or ""), words):
                connection.sendall(command(*(word.encode() for word in one)))
                answer = connection.recv(1000)
                if answer != b"+OK\r\n":
                    raise OSError(answer.decode())
