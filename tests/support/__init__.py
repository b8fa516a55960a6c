"""What tests of several folders share: a stack for the session, a fresh world for each module. No assertions of behaviour."""
