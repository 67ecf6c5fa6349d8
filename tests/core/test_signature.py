"""What ends a mail and is no message is told from what a person wrote."""

from __future__ import annotations

import pytest

from gateway.core.quote import Split, split_reply

NOTICE = (
    "This e-mail and any attachments are confidential and intended only for the addressee.\n"
    "If you have received it in error please notify the sender and delete it."
)


@pytest.mark.parametrize("line", [
    "Sent from my iPhone", "Sent from my Samsung Galaxy smartphone.", "Get Outlook for iOS<https://aka.example/o>",
    "Sent from Mail for Windows 10", "Sent from Yahoo Mail on Android", "(sent from my phone)", "Von meinem iPhone gesendet",
    "Gesendet von Mail für Windows 10", "Von iPad gesendet", "Envoyé de mon iPhone", "Télécharger Outlook pour Android",
    "Enviado desde mi iPhone", "Obtener Outlook para iOS", "Enviado do meu iPhone", "Inviato da iPhone",
    "Ottieni Outlook per Android", "Verstuurd vanaf mijn iPhone", "Outlook voor Android downloaden", "Skickat från min iPhone",
    "Hämta Outlook för iOS", "Sendt fra min iPad", "Lähetetty iPhonesta", "Wysłane z iPhone'a",
    "Pobierz aplikację Outlook dla systemu Android", "Odesláno z iPhonu", "Odoslané z iPhonu", "iPhone-omról küldve",
    "Trimis de pe iPhone-ul meu", "Изпратено от моя iPhone", "Poslano s mog iPhone uređaja", "Στάλθηκε από το iPhone μου",
    "iPhone'umdan gönderildi", "Отправлено с iPhone", "Надіслано з iPhone", "נשלח מה-iPhone שלי", "تم الإرسال من الـ iPhone",
    "Đã gửi từ iPhone của tôi", "Dikirim dari iPhone saya", "ส่งจาก iPhone ของฉัน", "发自我的 iPhone", "從我的 iPhone 傳送",
    "iPhoneから送信", "나의 iPhone에서 보냄", "Enviat des del meu iPhone",
])
@pytest.mark.parametrize("quote", ["", "\n\nOn 3 Mar 2026 at 10:12, Anna <a@b.example> wrote:\n> Does it?"])
def test_what_phones_write_is_no_message(line: str, quote: str) -> None:
    split = split_reply(f"It blinks.\n\n{line}{quote}")
    assert (split.new, split.signature) == ("It blinks.", line)


@pytest.mark.parametrize("text", [
    "Sent from my desk, which is easier.", "I sent it from my iPhone yesterday, did you get it?", "It was sent from Berlin.",
    "Enviado ayer.", "It blinks.\nSent from my iPhone is what it says,\nand then nothing.",
])
def test_sentences_like_a_phones_line_are_kept(text: str) -> None:
    assert split_reply(text) == Split(text, "", "")


def test_below_a_phones_line_stands_what_the_phone_quotes() -> None:
    assert split_reply("Yes.\n\nSent from my iPhone\n\nDoes it blink?\nAnna") == Split(
        "Yes.", "", "Sent from my iPhone\n\nDoes it blink?\nAnna"
    )


def test_but_not_where_we_know_our_own_words() -> None:
    text = "Yes.\n\nSent from my iPhone\n\nOne more thing: it is hot."
    assert split_reply(text, "Does it blink?").new == "Yes.\n\nOne more thing: it is hot."


def test_a_phones_line_on_top_takes_nothing_along() -> None:
    assert split_reply("Sent from my iPhone\n\nIt blinks.").new == "Sent from my iPhone\n\nIt blinks."


@pytest.mark.parametrize("name", ["-Ann Berg", "/Ann", "=====", "ᐧ", "--", "* * * * * * *", "~~~~\n\n----"])
def test_names_and_dividers_that_end_a_mail(name: str) -> None:
    assert split_reply(f"It blinks.\n\n{name}").new == "It blinks."


@pytest.mark.parametrize("text", [
    "I need:\n-Toner\n-Paper", "-Toner", "It blinks.\n\n- Ann", "It blinks.\n\n//Ann", "It blinks.\n\n+1", "a\n----\nb", "It blinks :-)",
])
def test_lists_and_what_people_type_are_kept(text: str) -> None:
    assert split_reply(text).new == text


BLOCK = "—————\nAnn Berg\nHead of Lamps\nTel. +33 1 23 45 67 89"


def test_a_rule_a_name_and_a_number_are_a_signature() -> None:
    assert split_reply(f"It blinks.\n\n{BLOCK}") == Split("It blinks.", "", BLOCK)


@pytest.mark.parametrize("text", [
    "What I see:\n\n-----\nhttp://lamp.example/state", "Two:\n\n-----\nAnn Berg\nHead of Lamps",
    "Log:\n\n-----\n" + "Ann\n" * 12 + "a@b.example", f"Log:\n\n-----\nAnn{' long' * 30}\na@b.example",
    "-----\nAnn\na@b.example",
])
def test_other_things_below_a_rule_are_text(text: str) -> None:
    assert split_reply(text).new == text.strip()


@pytest.mark.parametrize("closing", [
    "Kind regards\nAnn Berg", "Mit freundlichen Grüßen\nAnn Berg\nAcme GmbH", "Med venlig hilsen\nAnn Berg",
    "Cordialement,\n\nAnn Berg\n01 23 45 67 89", "Regards,\n\nAnn Berg\nCEO @ Acme", "Met vriendelijke groet,\nAnn Berg",
])
def test_a_stored_closing_is_folded_but_belongs_to_a_letter(closing: str) -> None:
    split = split_reply(f"It blinks.\n\n{closing}")
    assert (split.new, split.signature) == ("It blinks.", closing)
    assert split.letter == f"It blinks.\n\n{closing}"


@pytest.mark.parametrize("text", [
    "It blinks.\n\nBest regards\n\nAnn", "It blinks.\n\nKind regards\nAnn", "It blinks.\n\nThanks,\nAnn Berg", "Kind regards\nAnn Berg",
    "It blinks.\n\nKind regards", "It blinks.\n\nKind regards to all who work there\nAnn Berg",
    "My regards go to Ann.\n\nRegards\n" + "Line\n" * 12, f"Regards\nAnn{' long' * 30}",
])
def test_what_may_be_typed_is_kept(text: str) -> None:
    split = split_reply(text)
    assert split.new == split.letter == text.strip()


@pytest.mark.parametrize("notice", [
    NOTICE, NOTICE.replace("\n", "\n\n"), f"{'*' * 40}\n{NOTICE}\n{'*' * 40}", f"{'_' * 12}\n\nAcme, the lamp people\n\n{NOTICE}",
    f"DISCLAIMER\n\n{NOTICE}", "To unsubscribe from this list, write to lamps@lists.example", "Virus-free. www.scanner.example",
    "Please consider the environment before printing this mail.",
    "Diese E-Mail enthält vertrauliche Informationen. Wenn Sie sie irrtümlich erhalten, vernichten Sie sie.",
    "Ce message est confidentiel et réservé à ses destinataires. Merci de le supprimer en cas d'erreur.",
    "Este mensaje es confidencial. Si lo recibe por error, elimínelo y avise a quien lo envió. Gracias.",
    "Данное сообщение конфиденциально. Если вы получили его по ошибке, удалите его, пожалуйста.",
])
def test_legal_notices_and_footers_are_folded(notice: str) -> None:
    assert split_reply(f"It blinks.\n\nBest regards\n\nAnn\n\n{notice}").new == "It blinks.\n\nBest regards\n\nAnn"


def test_a_closed_box_of_notices_is_folded_from_the_middle() -> None:
    box = f"{'*' * 40}\nAll messages to and from this office may be monitored and are then logged.\n\n{NOTICE}\n{'*' * 40}"
    assert split_reply(f"It blinks.\n\n{box}\n\n1. http://a.example").new == "It blinks.\n\n1. http://a.example"


@pytest.mark.parametrize("text", [
    NOTICE, "Is this confidential?", f"{NOTICE}\n\nWhat does that mean?", "=========\nlamp one\n=========\nlamp two\n\nBoth blink.",
    f"First.\n\n{'=' * 12}\nThe scanner finds a virus in your update, and it will not stop telling me so.\n{'=' * 12}\n\nWhy?",
])
def test_words_of_lawyers_in_the_text_are_kept(text: str) -> None:
    assert split_reply(text).new == text


def test_very_long_ends_are_read_in_part() -> None:
    many = "\n\n".join([NOTICE.replace("\n", " ")] * 70)
    assert split_reply(f"It blinks.\n\n{many}").new.startswith("It blinks.")
    long = "word\n" * 100 + NOTICE
    assert split_reply(f"It blinks.\n\n{long}").new.startswith("It blinks.")
