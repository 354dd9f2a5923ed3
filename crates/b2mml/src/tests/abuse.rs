//! Messages that are made to harm whoever reads them.

use crate::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, NAMESPACE, read};
use std::time::{Duration, Instant};

fn refused(text: impl AsRef<[u8]>) -> String {
    read(text.as_ref()).unwrap_err().to_string()
}

/// A ConfirmBOD with something in it.
fn around(inside: &str) -> String {
    format!(
        "<ConfirmBOD xmlns='{NAMESPACE}'><ApplicationArea><CreationDateTime>2026-11-27T06:00:00Z</CreationDateTime></ApplicationArea>\
         <DataArea><Confirm/><BOD>{inside}</BOD></DataArea></ConfirmBOD>"
    )
}

#[test]
fn the_frame_of_these_tests_is_a_good_message() {
    assert!(read(around("").as_bytes()).is_ok());
}

#[test]
fn a_doctype_is_refused_before_its_entities_mean_anything() {
    let laughs = "<?xml version='1.0'?>\n<!DOCTYPE lolz [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>\n<x>&b;</x>";
    assert_eq!(refused(laughs), "line 2: there is a DOCTYPE: a message with its own entities is not taken");
    let file = "<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>";
    assert!(refused(file).contains("DOCTYPE"));
}

#[test]
fn entities_other_than_those_of_xml_are_refused() {
    assert_eq!(
        refused(around("<Note>&b;</Note>")),
        "line 1: there is the entity b: a message with its own entities is not taken"
    );
    let text = around("<Note>&lt;&#x3e;&#38;&quot;&apos;</Note>");
    assert!(read(text.as_bytes()).unwrap().message.write().contains("&lt;&gt;&amp;&quot;&apos;"));
    for text in
        ["<Note>&#0;</Note>", "<Note>&#x110000;</Note>", "<Note>&#1;</Note>", "<Note>&;</Note>", "<Note>a & b</Note>"]
    {
        assert!(read(around(text).as_bytes()).is_err(), "{text}");
    }
    assert!(refused(around("<Note x:y='1'/>").replace("<BOD>", "<BOD OtherValue='&b;'>")).contains("entities"));
}

#[test]
fn depth_count_and_size_are_bounded() {
    let deep = format!("{}{}", "<Note>".repeat(MAX_DEPTH), "</Note>".repeat(MAX_DEPTH));
    assert_eq!(refused(around(&deep)), format!("line 1: more than {MAX_DEPTH} elements in each other"));
    let foreign = deep.replace("<Note>", "<x:y xmlns:x='urn:x'>").replace("</Note>", "</x:y>");
    assert_eq!(refused(around(&foreign)), format!("line 1: more than {MAX_DEPTH} elements in each other"));
    assert_eq!(refused(around(&"<Note/>".repeat(MAX_ELEMENTS))), format!("line 1: more than {MAX_ELEMENTS} elements"));
    let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(
        refused(around(&format!("<Note{attributes}/>"))),
        format!("line 1: more than {MAX_ATTRIBUTES} attributes of one element")
    );
    let namespaces: String = (0..=64).map(|n| format!(" xmlns:a{n}='urn:{n}'")).collect();
    assert!(refused(around(&format!("<Note{namespaces}/>"))).starts_with("line 1: this is no well-formed XML: "));
    let long = vec![b' '; MAX_BYTES + 1];
    assert_eq!(refused(long), format!("the message has {} bytes; at most {MAX_BYTES} are taken", MAX_BYTES + 1));
}

/// Each is as large as a message may be, and would take minutes if anything in it cost its square.
#[test]
fn a_message_of_the_greatest_size_is_answered_soon() {
    let attributes: String = (0..MAX_BYTES / 12).map(|n| format!(" a{n:06x}=''")).collect();
    let namespaces: String = (0..MAX_BYTES / 20).map(|n| format!(" xmlns:a{n:06x}='u'")).collect();
    let name = "n".repeat(MAX_BYTES - 1000);
    let list = around(&"<Note>x</Note><z/>".repeat(MAX_ELEMENTS / 2 - 10));
    let open = around(&"<a>".repeat(MAX_BYTES / 4));
    for text in [
        around(&format!("<Note{attributes}/>")),
        around(&format!("<Note{namespaces}/>")),
        around(&format!("<{name}/>")),
        format!("<{name}/>"),
        around(&format!("<Note>&{name};</Note>")),
        around(&format!("<Note>{}</Note>", "]]&gt;".repeat(MAX_BYTES / 7))),
        list,
        open,
        format!("<!--{}", "-".repeat(MAX_BYTES - 10)),
    ] {
        assert!(text.len() <= MAX_BYTES);
        #[expect(clippy::disallowed_methods, reason = "how long it takes is what this test is about")]
        let begun = Instant::now();
        match read(text.as_bytes()) {
            Ok(read) => assert!(read.left_out.paths.len() <= crate::LeftOut::NAMED),
            Err(error) => assert!(error.to_string().len() < 2000),
        }
        let took = begun.elapsed();
        println!("{took:?}: {}…", &text[..230]);
        assert!(took < Duration::from_secs(60), "{}…", &text[..60]);
    }
}

#[test]
fn other_encodings_are_refused_by_name() {
    assert_eq!(
        refused("<?xml version='1.0' encoding='ISO-8859-1'?><x/>"),
        "the message is not UTF-8 (\"ISO-8859-1\" is declared); no other encoding is taken"
    );
    assert_eq!(
        refused(b"<?xml version='1.0' encoding=\"windows-1252\"?><x>\xE4</x>"),
        "the message is not UTF-8 (\"windows-1252\" is declared); no other encoding is taken"
    );
    assert_eq!(
        refused(b"\xFF\xFE<\0x\0"),
        "the message is not UTF-8 (it begins as UTF-16 does); no other encoding is taken"
    );
    assert_eq!(
        refused(b"<x>\xE4</x>"),
        "the message is not UTF-8 (the byte at 3 does not fit); no other encoding is taken"
    );
    let marked = format!("\u{feff}<?xml version='1.0' encoding='utf-8'?>{}", around(""));
    assert!(read(marked.as_bytes()).is_ok());
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_line() {
    for (text, words) in [
        ("", "line 1: this is no well-formed XML: there is no element"),
        ("\n<x xmlns='http://www.mesa.org/xml/B2MML'>", "line 2: this is no well-formed XML: x is not closed"),
        ("text", "line 1: this is no well-formed XML: there is text outside of the outermost element"),
    ] {
        assert_eq!(refused(text), words);
    }
    let good = around("");
    for text in [
        format!("{good}{good}"),
        format!("{good}x"),
        format!("{good}</x>"),
        good.replace("</BOD>", "</Bod>"),
        good.replace("<BOD>", "<BOD a='1' a='2'>"),
    ] {
        assert!(refused(&text).starts_with("line 1: this is no well-formed XML: "), "{}", refused(&text));
    }
}

#[test]
fn another_namespace_is_refused_by_name() {
    let words = "not in http://www.mesa.org/xml/B2MML (B2MML 7)";
    assert_eq!(
        refused("<ConfirmBOD xmlns='http://www.mesa.org/xml/B2MML-V0600'/>"),
        format!("the outermost element is in http://www.mesa.org/xml/B2MML-V0600, {words}")
    );
    assert_eq!(refused("<ConfirmBOD/>"), format!("the outermost element is in no namespace, {words}"));
    assert_eq!(refused("<b:ConfirmBOD/>"), format!("the outermost element is in the undeclared namespace b, {words}"));
}
