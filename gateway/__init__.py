"""Mailwicket's service. This is the map of its rooms, in reading order; a test keeps it equal to the folder.

    receive ─► SPOOL ─► parse ─► understand ─► rules ─► conclude ─► JOURNAL ─► STORE ─► send
     (edge)    (disk)   (mime)   (core, pure)  (edge)  (core, pure)  (redo)   (DuckDB) └─► publish ─► reports

    pipeline.py             READ FIRST: the way of a mail through the rooms, one line a room
    intake.py               spool to store: takes waiting mails, has them parsed, commits them batch by batch
    postman.py              outbox to the world: at least once, always the same bytes
    books.py                the one writer: journal first, then store, on one thread
    service.py              builds the edges, starts and stops them; the only place that knows all
    counter.py              what an operator may ask, answered from the store
    porter.py               the doors, held open by processes of their own
    mailboxes.py            the accounts that mail is fetched from and sent through
    backup.py               a backup of the running desk, its proof, and what it makes needless
    keeper.py               one a day, and a missed one made up
    morning.py              the digests: one a day for each agent who wants one
    waker.py                pending tickets whose time has come
    restore.py              the way back
    rehearse.py             a mail from a file on the decision table
    explain.py              what would be decided about a mail, and why; nothing is stored
    importer.py             mailwicket import: years of old mail in two looks; nothing is sent
    archive_index.py        the first look: where each mail stands, when it was sent, whom it belongs with
    archive_sources.py      archives on an IMAP server
    recorder.py             imported mail into the store, one frame a lot
    waiting_room.py         held mail, as the operator handles it
    password.py             mailwicket password: who may log in at the agents' door
    cli.py                  the command mailwicket, one row a verb
    show.py                 what the command line shows: tables for people, JSON lines for programs
    demo.py                 make demo: a desk on loopback ports and a day at it
    __main__.py             python -m gateway
    config.py               mailwicket.toml as one frozen value, or every problem of it at once
    settings_doc.py         every setting, declared once
    settings_kinds.py       the kinds of value a setting can have
    settings_file.py        a configuration file as rows of values
    settings_checks.py      what settings demand of each other and of the machine
    people.py               an admin's line on its way: read, decided, written
    starter.py              what `mailwicket init` writes
    keys.py                 the signing keys of this desk
    log.py                  what the gateway tells of itself
    errors.py               the exception tree: public words, private cause, temporary or for good
    rfc.txt                 the standards we cite, and how far we follow them
    templates/              the words of our mails, one folder a language

    core/                   decisions: values in, values out; no clock, chance, file, socket, log or library
      model.py              the nouns of what comes in and is understood: Envelope, Mail, Facts …
      rows.py               what is stored, one class a table: Ticket, Event, Message …
      rows_beside.py        own fields, links, opt-outs
      decision.py           what is decided: rows, drafts of mails, reasons
      policy.py             what the configuration allows, and who is who on the desk
      authority.py          who may do what: the ladder of roles
      directory.py          agents, teams and organisations that mail made, and the policy of the moment
      directory_rows.py     what is stored of them
      admin.py              the lines by which admins change them
      admin_act.py          what such a line does
      admin_agents.py       agents come, change and go
      clerk.py              what one such line writes down
      context.py            the slice of stored state that a decision may see
      understand.py         parsed mail to facts: who, what kind, which ticket, which commands
      wants.py              what the commands of a mail will ask of the store
      classify.py           a person, or which sort of machine (RFC 3834, 3464)
      classify_words.py     what robots write into subjects and addresses
      absence.py            absence notices by their words, and when their writers are back
      bounce_reason.py      what a mail server meant: status codes and words (RFC 3463)
      identity.py           who wrote it and how sure we are: L0 to L4
      authres.py            what a relay found out: Authentication-Results, read strictly
      third_party.py        who wrote what a mailing list sent on
      thread.py             which ticket, and by which proof
      conversation.py       which mails of an archive belong together
      archive.py            what becomes of a conversation of an archive
      archive_rows.py       the rows of imported mails and tickets
      shadow.py             when a ticket was solved, reopened, given up: imputed
      sides.py              who is of the desk and who is a customer, in an archive
      subject.py            subjects without prefixes, ticket keys (RFC 5256 §2.1)
      profile.py            the two ways to be reached, and the addresses of each
      proof.py              what a mail carries that only we could have made
      token.py              signed reply addresses and Message-IDs
      address.py            the strict grammar of addresses (RFC 5321 §4.1.2)
      quote.py              new text, quoted text, signature
      quote_words.py        how mail programs announce quoted and forwarded text
      signature.py          signatures, lines of phones, footers, legal notices
      signature_words.py    how people and their programs end a mail
      forward.py            the mail that another one forwards
      command_table.py      every command: words, who may, level, help
      command.py            the reader of the block on top of a mail, and of the subject's suffix
      command_line.py       one line as a command
      stray.py              commands in the wrong place
      command_value.py      readers of command values
      when.py               moments and spans as people write them; business days
      macro.py              prepared answers
      conclude.py           what to do with one mail: the table CASES
      control.py            control mail and answers to digests: who may, rehearsed or carried out
      control_lines.py      the reader of their lines
      control_limit.py      the guard "limit" of such a mail
      control_wants.py      what they will ask of the store
      transcript.py         orders carried out one by one, and what came of each in words
      digest.py             an agent's tickets, numbered to be answered
      desk_mail.py          our mails to an agent that are about no ticket
      vendor.py             third parties: what goes to them, and what comes back and stays inside
      forwarded.py          a customer's mail that an agent sent on: whose ticket it is
      direct.py             what lies in a Sent folder: ours, or an agent's who wrote straight from there
      copies.py             second copies of a mail that was decided already
      case.py               one mail on the decision table
      answer.py             an agent's mail: public answer, note, or held with a question
      posting.py            an agent's mail that was understood: message, commands, who hears of it
      release.py            #send and #drop: mail that waited is done after all
      leak.py               what must not go to a customer
      held.py               mail that waits for a word, and how the word is proven
      outbound.py           agents write first: mail to people outside
      tell.py               answers to an agent's questions: #show, #search, #why
      changes.py            what events did, in words
      customer.py           what customers may order by mail
      flood.py              one address that opens too many tickets
      act.py                what commands do to a ticket: who may, all or nothing
      act_state.py          status, holder, queue, priority, type, tags, times, own fields
      act_people.py         requester and copies
      act_tickets.py        merge, split, link
      act_undo.py           taking back what a mail did
      actor.py              who acts, and a refusal
      lifecycle.py          which status may follow which; the fold of events
      ledger.py             what one decision writes down
      relay.py              which mails a decision sends, and to whom
      footer.py             the lines we add to an agent's mail
      budget.py             whether we may send automatic mail: what ends loops
      retry.py              what became of an attempt to send, and when to try again
      woken.py              a pending ticket whose time has come
      failure.py            a mail of ours that was refused for good, or is late
      bounce.py             a delivery report, and the mail of ours that it speaks of
      suppress.py           dead addresses: when we stop writing to somebody, and begin again

    mime/                   bytes to values and back; the processor and template files, nothing else
      parse.py              raw bytes to Mail; never raises
      structure.py          the MIME tree as byte ranges, in one pass
      library.py            mail-parser at work, and where its word is not taken
      second_reader.py      whether the standard library sees other fields and parts than we
      headers.py            mailboxes and message ids as real mail holds them
      dates.py              when a mail says that it was written
      body.py               which leaves are the body
      charsets.py           bytes to text: what charset labels mean, and what bytes without a true label are
      text.py               encoded words, HTML made safe
      html_reply.py         readable text of HTML, quoted text marked as in plain mail
      content.py            what a mail says and what it carries
      flowed.py             paragraphs that travelled as short lines (RFC 3676)
      attachments.py        leaves that are not the body
      inside.py             what some parts have inside, brought out
      unpack.py             from a slice of a mail to the octets of an attachment
      tnef.py               winmail.dat
      rtf.py                text of the compressed RTF in it
      reports.py            delivery reports and the mail they return (RFC 3464)
      told.py               whether the text of a mail is read as a report
      bounce_text.py        delivery reports in plain words
      bounce_dialects.py    how mail servers say that a mail did not arrive
      opaque.py             a Mail from the header alone, when nobody could read the rest
      archive_head.py       the header of an archived mail: its conversation and its time
      compose.py            a draft to an outbox row: rendered once
      html_cut.py           the part of an agent's HTML that was decided to be public
      fields.py             header fields to octets (RFC 5322, 2047, 2231)
      assemble.py           an outbox row to octets, always the same

    edge/                   the outside world; one library a module, no decisions
      smtp_receive.py       the front door: SMTP and LMTP in our event loop
      smtp_crowd.py         who is inside, over all processes that hold a door open
      smtp_settings.py      what a door is told
      smtp_connection.py    streams, deadlines, limits, the command loop
      smtp_conversation.py  the commands of SMTP and LMTP
      smtp_submission.py    the agents' door: logins, and mail to anybody
      logins.py             their passwords, hashed, and how often one may guess
      sender_check.py       our own look at who sent a mail: SPF, DKIM, DMARC
      dkim.py               signatures, in linear time (RFC 6376)
      spf.py                who may send for a domain (RFC 7208)
      dmarc.py              what speaks for the domain of From (RFC 9989)
      dns.py                questions to the DNS
      smtp_data.py          from the wire to the spool in constant memory
      drop_receive.py       a Maildir where local programs put mail for us
      imap_receive.py       a watched mailbox: one supervisor a folder
      imap_settings.py      what a watched mailbox is told
      imap_connection.py    one IMAP connection; an answer or Doubt
      imap_lot.py           what becomes of mails in a folder, and what stands for one too large
      imap_wire.py          aioimaplib's protocol with bounds
      imap_cursor.py        how far a folder has been read
      oauth.py              access tokens for XOAUTH2, for IMAP and submission
      header_trace.py       the envelope of a mail that comes without one
      room.py               whether there is room for one more mail
      spool.py              one file a mail, and the only thing before a 250
      spool_in.py           the way into it: written down, flushed, named
      spool_commit.py       mails that end together share a flush of the disk
      durable.py            every operation that must survive a power cut
      workers.py            parser processes, which can be stopped
      rules.py              predicates in SQL over the relation mail
      journal.py            the redo journal
      frames.py             what a journal frame says
      store.py              DuckDB as a projection of the journal
      store_files.py        the database files: one main file, one a month
      store_load.py         loads the context of a batch, set-wise
      store_write.py        writes the rows of one frame
      store_digest.py       what a digest tells
      group.py              fetched rows by what they have in common
      store_read.py         reads that are no part of a decision
      tables.py             which class is which table
      migrate.py            brings a database up to this program's schema
      smtp_send.py          sending through a smarthost
      maildir_out.py        delivery into a Maildir
      publish.py            the snapshot that notebooks may read
      backups.py            backups on disk, and which of them are whole
      archive.py            old mail on disk: mbox, Maildir, folders
      imap_archive.py       all mails of an account's folders, read and left as they are
      lots.py               a lot of an import on its way to the gateway
      spool_keep.py         imported mails where the journal's replay finds them
      backup_work.py        copying and proving them, in a process of its own
      aside.py              that process: asked, watched, ended
      control.py            the operator's door: a unix socket
      lock.py               one gateway per state directory
      notify.py             sd_notify(3)
"""
