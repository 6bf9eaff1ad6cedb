"""What people are told of alarms outside the page: which, how often, in which words, and when again. Pure."""
