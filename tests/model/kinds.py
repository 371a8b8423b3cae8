# SPDX-License-Identifier: Apache-2.0
"""The kinds of histories: a module each, with how one is made from a seed and how it is run and judged."""
import alike
import carts
import contacts
import mixed
import quotes
import standing
import who

KINDS = {"mixed": mixed.Mixed, "who": who.Who, "limits": who.Limits, "contacts": contacts.Contacts, "shuffled": alike.Shuffled,
         "split": alike.Split, "address": alike.Address, "erased": alike.Erased,
         "quotes": quotes.Quotes, "carts": carts.Carts, "standing": standing.Standing}
READY = ["mixed", "who", "erased", "shuffled", "contacts", "split", "limits", "quotes", "standing", "carts", "address"]
