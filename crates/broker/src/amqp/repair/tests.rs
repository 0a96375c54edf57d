//! Messages as publishers may write them, and their repaired form.

use super::*;

/// A content header with a `message_id` and headers.
fn header(message_id: &[u8], entries: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    payload.extend_from_slice(&(1u16 << 13 | 1 << 7).to_be_bytes());
    push_long(&mut payload, entries);
    push_short(&mut payload, message_id);
    payload
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    push_short(&mut entry, name);
    entry.extend_from_slice(value);
    entry
}

#[test]
fn what_is_sound_stays_as_it_is() {
    let values = [
        entry(b"none", b"V"),
        entry("größe".as_bytes(), b"I\0\0\0\x07"),
        entry(b"bytes", b"S\0\0\0\x02\xff\xfe"),
        entry(b"list", b"A\0\0\0\x09t\x01F\0\0\0\x02\0V"),
    ];
    let sound = header(b"m-1", &values.concat());
    assert_eq!(content_header(&sound, Faults::new(), None), sound);
}

#[test]
fn what_is_not_utf_8_is_read_as_latin_1_and_named() {
    let repaired = content_header(&header(b"M\xfcller", b""), vec!["routing_key"], None);
    let mark = [&b"S"[..], &[0, 0, 0, 23], b"routing_key, message_id"].concat();
    assert_eq!(repaired, header("Müller".as_bytes(), &entry(MALFORMED.as_bytes(), &mark)));
}

#[test]
fn an_entry_that_cannot_be_read_ends_its_table() {
    let kept = entry(b"kept", b"t\x01");
    for bad in [&entry(b"odd", b"Z")[..], &entry(b"short", b"S\0\0\0\x09x"), b"\xff", &[1]] {
        let repaired = content_header(&header(b"m", &[&kept[..], bad].concat()), Faults::new(), None);
        let mark = [&b"S"[..], &[0, 0, 0, 7], b"headers"].concat();
        let expected = [&kept[..], &entry(MALFORMED.as_bytes(), &mark)].concat();
        assert_eq!(repaired, header(b"m", &expected), "{bad:?}");
    }
}

#[test]
fn tables_below_the_limit_become_void() {
    let nest = |levels: usize, innermost: &[u8]| {
        (0..levels).fold(innermost.to_vec(), |inner, _| {
            let mut outer = vec![b'F'];
            push_long(&mut outer, &entry(b"", &inner));
            outer
        })
    };
    let deep = header(b"m", &entry(b"x", &nest(20_000, b"V")));
    let kept = header(b"m", &entry(b"x", &nest(MAX_DEPTH, b"V")));
    assert_eq!(content_header(&deep, Faults::new(), None), kept);
}

#[test]
fn a_repaired_header_fits_the_frame_that_it_came_in() {
    let entries = entry(&[0xff; 120], b"V").repeat(40);
    let payload = header(b"m", &entries);
    let repaired = content_header(&payload, Faults::new(), None);
    assert!(repaired.len() <= payload.len().max(FRAME_MIN), "{}", repaired.len());
    assert!(repaired.ends_with(b"\x01m"));
}

#[test]
fn a_claim_of_a_publisher_is_dropped() {
    let claim = entry(MALFORMED.as_bytes(), b"S\0\0\0\x01x");
    let kept = entry(b"kept", b"V");
    let repaired = content_header(&header(b"m", &[&claim[..], &kept].concat()), Faults::new(), None);
    assert_eq!(repaired, header(b"m", &kept));
}

#[test]
fn a_delivery_has_names_that_can_be_read() {
    let deliver = |exchange: &[u8], key: &[u8]| {
        [&DELIVER[..], b"\x03tag", &[0, 0, 0, 0, 0, 0, 0, 9, 1], &entry(exchange, b""), &entry(key, b"")]
            .concat()
    };
    assert_eq!(method(&deliver(b"e", b"k")), (deliver(b"e", b"k"), Faults::new()));
    let repaired = method(&deliver(b"\xe9", b"\xfc"));
    assert_eq!(repaired, (deliver("é".as_bytes(), "ü".as_bytes()), vec!["exchange", "routing_key"]));
    assert_eq!(method(b"\0\x3c\0\x3c\xff").0, b"\0\x3c\0\x3c\xff", "left to the client");
}

#[test]
fn a_header_of_a_body_that_is_cut_announces_what_is_left_of_it() {
    let payload = header(b"m", &entry(CUT.as_bytes(), b"S\0\0\0\x01x"));
    let cut = content_header(&payload, Faults::new(), Some(3));
    assert_eq!((body_bytes(&payload), body_bytes(&cut)), (Some(5), Some(3)));
    let mark = entry(CUT.as_bytes(), b"S\0\0\0\x015");
    assert_eq!(cut[HEADER_FIXED..], header(b"m", &mark)[HEADER_FIXED..]);
}
