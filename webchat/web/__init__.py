"""PAGES: HTTP, sockets and templates. The only room that knows Flask."""
