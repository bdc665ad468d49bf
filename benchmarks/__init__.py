"""Every speed claim and every table of results comes from a script here."""
