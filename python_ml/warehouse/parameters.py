"""How to reach the database, in each notation that something asks for."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class ConnectionParameters:
    """Address and login of one database.

    Parameters
    ----------
    host : str
        Host name, or the absolute folder of a Unix socket.
    port : int
    user : str
    password : str
        Empty when the server wants none or libpq finds it elsewhere.
    database : str
    role : str, default=""
        Role that sessions take on; the login's own if empty. Only in `url`:
        what is run by itself, as dbt, is the login.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    role: str = ""

    def url(self) -> str:
        """Address with password, as libpq and SQLAlchemy's psycopg2 read it.

        Examples
        --------
        >>> ConnectionParameters("/run/a b", 5432, "ann", "p/w", "bolt").url()
        'postgresql://ann:p%2Fw@/bolt?host=%2Frun%2Fa%20b&port=5432'
        """
        login = quote(self.user, safe="")
        if self.password:
            login += ":" + quote(self.password, safe="")
        values = {"host": self.host, "port": str(self.port)}
        if self.role:
            values["options"] = self.options
        query = urlencode(values, quote_via=quote, safe="")
        return f"postgresql://{login}@/{quote(self.database, safe='')}?{query}"

    @property
    def options(self) -> str:
        """What sessions begin with, as libpq's option of that name."""
        return f"-c role={self.role}" if self.role else ""

    def environment(self) -> dict[str, str]:
        """The same as libpq's environment variables."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
        }

    def __str__(self) -> str:
        """Where it is, without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"ConnectionParameters({self})"
