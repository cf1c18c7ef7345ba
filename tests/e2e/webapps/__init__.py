"""
Small web applications, each as the documentation of its framework would have
it, in processes of their own.  C{GET /session} shows the session, C{POST
/add?key} counts in it, C{POST /login?name} and C{POST /logout} do that.  The
first line of their output is their port.
"""
