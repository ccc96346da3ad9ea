import pytest

from tasks.corpora.public.ami.nxt import NxtError, Speaker, Words, parse, segments, speakers

NITE = 'xmlns:nite="http://nite.sourceforge.net/"'
HEAD = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
WORDS = f"""{HEAD}<nite:root nite:id="ES9999a.A.words" {NITE}>
  <w nite:id="A0" starttime="77.44" endtime="77.74">Hi</w>
  <w nite:id="A1" starttime="77.74" endtime="77.74" punc="true">,</w>
  <vocalsound nite:id="A2" starttime="77.8" endtime="78.0" type="laugh"/>
  <w nite:id="A3">I&#39;m</w>
  <w nite:id="A4" starttime="78.1" endtime="78.2" trunc="true">Dav</w>
  <disfmarker nite:id="A5"/>
  <w nite:id="A6" starttime="78.2" endtime="78.9">Zo\xeb</w>
  <w nite:id="A7" starttime="78.9" endtime="78.9" punc="true">-</w>
  <gap nite:id="A8"/>
  <w nite:id="A9" starttime="79" endtime="79" punc="true">.</w>
  <w nite:id="A10" starttime="80" endtime="81">Yes</w>
</nite:root>""".encode("latin-1")


@pytest.mark.parametrize(
    ("hrefs", "text"),
    [
        (["ES9999a.A.words.xml#id(A0)..id(A9)"], "Hi, I'm Dav- Zo\xeb -."),
        (["ES9999a.A.words.xml#id(A10)"], "Yes"),
        (["x#id(A0)", "x#id(A3)..id(A3)"], "Hi I'm"),
        (["x#id(A2)"], ""),
        (["x#id(A7)..id(A9)"], ""),
        ([], ""),
    ],
)
def test_the_text_has_the_words_of_the_ranges(hrefs: list[str], text: str) -> None:
    assert Words(WORDS).text(hrefs) == text


@pytest.mark.parametrize(
    ("href", "message"),
    [
        ("x#id(A11)", "no word 'A11'"),
        ("x#id(A0)..id(B1)", "no word 'B1'"),
        ("x#xpointer(A0)", "malformed reference 'x#xpointer[(]A0[)]'"),
        ("x#id(A3)..id(A0)", "reversed range"),
        ("", "malformed reference ''"),
    ],
)
def test_an_invalid_reference_is_refused(href: str, message: str) -> None:
    with pytest.raises(NxtError, match=message):
        Words(WORDS).text([href])


def test_speakers_are_indexed_by_meeting_and_agent() -> None:
    data = f"""{HEAD}<nite:root {NITE}>
      <meeting observation="ES9999a">
        <speaker nxt_agent="A" global_name="MEE999" channel="0"/>
        <speaker nxt_agent="B" global_name="FEE998" channel="3"/>
        <speaker nxt_agent="C" channel="1"/><speaker nxt_agent="D" global_name="X" channel="?"/>
      </meeting><meeting observation="ES9999b">
        <speaker nxt_agent="A" global_name="MEE999" channel="2"/></meeting>
    </nite:root>"""
    assert speakers(data.encode()) == {
        ("ES9999a", "A"): Speaker("MEE999", 0),
        ("ES9999a", "B"): Speaker("FEE998", 3),
        ("ES9999b", "A"): Speaker("MEE999", 2),
    }


def test_segments_are_returned_as_written() -> None:
    data = f"""{HEAD}<nite:root {NITE}>
      <segment transcriber_start="1.5" transcriber_end="x">
        <nite:child href="a#id(A0)"/><nite:pointer href="b"/><nite:child href="a#id(A1)"/></segment>
      <segment/></nite:root>"""
    first, second = segments(data.encode())
    assert (first.start, first.end, first.hrefs) == ("1.5", "x", ("a#id(A0)", "a#id(A1)"))
    assert (second.start, second.end, second.hrefs) == ("", "", ())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<a></b>",
        b"no XML",
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a [<!ENTITY x "boom">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b"<a>&unknown;</a>",
    ],
)
def test_malformed_or_unsafe_xml_is_refused(data: bytes) -> None:
    with pytest.raises(NxtError):
        parse(data)
