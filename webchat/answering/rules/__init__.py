"""Rules: what is done with a question before any search, in the order that the operators chose.

``rulebook`` tries them, ``conditions`` says when one applies, ``intents`` and ``shipped`` hold those that come with the
site. Rows, switches and order are in ``storage.rules``.
"""
