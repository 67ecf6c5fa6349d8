"""Mail whose From a list has put its own address into: who wrote it, as far as the list says.

Lists do that for the sake of DMARC. Only a list that the operator configured is asked, since anybody may write any header;
even then the writer proves nothing (L0), and Reply-To of any other mail is never anybody's identity.
"""

from __future__ import annotations

import re

from gateway.core.address import canonical, is_mailbox
from gateway.core.model import Address, Mail
from gateway.core.policy import Policy
from gateway.core.subject import header_text

_BARE = re.compile(r"[^\s<>]*<([^\s<>]+)>|([^\s<>]+)")
_VIA = re.compile(r"\s+(?:via|über)\s.*", re.IGNORECASE | re.DOTALL)


def written_by(mail: Mail, policy: Policy) -> Address | None:
    """The writer of a configured list's mail; None if From is no such list, or the list does not say who it was."""
    if mail.sender is None or canonical(mail.sender.address) not in policy.lists:
        return None
    original = _BARE.fullmatch(mail.header("x-original-from").rpartition(" ")[2].strip())
    found = [original[1] or original[2]] if original else [a.address for a in mail.reply_to]
    others = [a for a in dict.fromkeys(map(canonical, found)) if a not in policy.lists and is_mailbox(a)]
    if len(others) != 1:
        return None
    return Address(name=header_text(_VIA.sub("", mail.sender.name), 80), address=others[0])
