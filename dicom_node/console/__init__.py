"""The web console: what administrators see of a node, and what they do about it.

It is served by the node's own process in a thread of its own (`server`), and sees the node through
`Parts` alone: ports and values that the composition root hands it. `app` puts it together; each
page is a module with a router that `sections` lists; `security` lets nobody past who may not.

Its libraries are the extra ``console``: nothing here imports them before the console is made.
"""
