//! However the network cuts a stream, the codec finds the same in it.

use bytes::BytesMut;
use larder_protocol::{CHUNK_BYTES, Frame, LineCodec, LineLimits, OVERRUN_FACTOR, lines};
use proptest::prelude::*;
use tokio_util::codec::Decoder;

/// What a server would see, with runs of lines taken apart: how they are grouped depends on the cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Line(Vec<u8>),
    TooLong,
    Overrun,
    Http,
    Tls,
    Incomplete,
}

fn note(frame: Frame, seen: &mut Vec<Seen>) {
    match frame {
        Frame::Lines(chunk) => {
            assert!(chunk.ends_with(b"\n"));
            seen.extend(lines(&chunk).map(|line| Seen::Line(line.to_vec())));
        }
        Frame::TooLong => seen.push(Seen::TooLong),
        Frame::Overrun => seen.push(Seen::Overrun),
        Frame::Http => seen.push(Seen::Http),
        Frame::Tls => seen.push(Seen::Tls),
        Frame::Incomplete => seen.push(Seen::Incomplete),
    }
}

fn decode<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    decode_with(LineLimits::all(limit), pieces)
}

fn decode_with<'a>(limits: LineLimits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let limit = limits.line_bytes.max(limits.transaction_bytes);
    let mut codec = LineCodec::new(limits);
    let mut buffer = BytesMut::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(frame) = codec.decode(&mut buffer).unwrap() {
            note(frame, &mut seen);
        }
        assert!(buffer.len() <= limit, "what is over the limit is not kept");
    }
    while let Some(frame) = codec.decode_eof(&mut buffer).unwrap() {
        note(frame, &mut seen);
    }
    assert!(buffer.is_empty());
    seen
}

fn line(text: &str) -> Seen {
    Seen::Line(text.into())
}

/// The contract, written down the simple way.
fn naive(limit: usize, input: &[u8]) -> Vec<Seen> {
    naive_with(LineLimits::all(limit), input)
}

fn naive_with(limits: LineLimits, input: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut rest = input;
    let mut first = true;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let text = &rest[..end.unwrap_or(rest.len())];
        let shown = text.strip_suffix(b"\r").unwrap_or(text);
        if first && text.first() == Some(&0x16) {
            seen.push(Seen::Tls);
            return seen;
        }
        let begins =
            String::from_utf8_lossy(&text[..text.len().min(64).min(limits.line_bytes)]).to_uppercase();
        let limit = if begins.trim_start_matches(' ').starts_with("TXN ") {
            limits.line_bytes.max(limits.transaction_bytes)
        } else {
            limits.line_bytes
        };
        if text.len() > limit * OVERRUN_FACTOR {
            seen.push(Seen::Overrun);
            return seen;
        }
        if end.is_some() && first && !shown.is_empty() {
            first = false;
            let name = shown.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
            let header = (1..64).contains(&name) && shown.get(name) == Some(&b':');
            if shown.ends_with(b" HTTP/1.1") || header {
                seen.push(Seen::Http);
                return seen;
            }
        }
        let Some(end) = end else {
            seen.push(Seen::Incomplete);
            return seen;
        };
        if text.len() > limit {
            seen.push(Seen::TooLong);
        } else if !shown.is_empty() {
            seen.push(Seen::Line(shown.to_vec()));
        }
        rest = &rest[end + 1..];
    }
    seen
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..12),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        2 => (0..50_usize).prop_map(|length| vec![b'x'; length]),
        1 => (0..400_usize).prop_map(|length| vec![b'y'; length]),
        1 => Just(b"GET / HTTP/1.1\r\n".to_vec()),
        1 => Just(b"\x16\x03\x01".to_vec()),
        1 => Just(b"Host: here\r\n".to_vec()),
        1 => Just(b" HTTP/1.1\n".to_vec()),
        2 => Just(b"GET a\nSET b 1\r\n".to_vec()),
        2 => ("[ ]{0,6}[tT][xX][nN]?[ a]", 0..400_usize)
            .prop_map(|(verb, length)| [verb.as_bytes(), &vec![b'z'; length]].concat()),
    ]
}

proptest! {
    #![proptest_config(crate::same_cases())]

    #[test]
    fn cuts_do_not_matter(
        pieces in prop::collection::vec(piece(), 0..12),
        limits in (20..40_usize, 10..200_usize)
            .prop_map(|(line_bytes, transaction_bytes)| LineLimits { line_bytes, transaction_bytes }),
        cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let input = pieces.concat();
        let expected = naive_with(limits, &input);
        prop_assert_eq!(&decode_with(limits, [&input[..]]), &expected);
        prop_assert_eq!(&decode_with(limits, input.chunks(1)), &expected);
        let mut rest = &input[..];
        let mut cut = Vec::new();
        for length in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*length));
            cut.push(piece);
            rest = after;
        }
        prop_assert_eq!(&decode_with(limits, cut), &expected);
    }

    #[test]
    fn cuts_do_not_matter_where_lines_come_in_runs(lengths in prop::collection::vec(0..90_000_usize, 1..12), cut in 1..100_000_usize) {
        let input: Vec<u8> = lengths.iter().flat_map(|&length| [vec![b'x'; length], vec![b'\n']].concat()).collect();
        let limit = CHUNK_BYTES + 10_000;
        let expected = naive(limit, &input);
        prop_assert_eq!(&decode(limit, [&input[..]]), &expected);
        prop_assert_eq!(&decode(limit, input.chunks(cut)), &expected);
    }
}

#[test]
fn a_run_of_lines_is_one_frame_and_bounded() {
    let mut codec = LineCodec::new(LineLimits::all(1 << 20));
    let mut buffer = BytesMut::from(&b"PING\nGET a\r\n\nGET"[..]);
    assert_eq!(
        codec.decode(&mut buffer).unwrap(),
        Some(Frame::Lines(BytesMut::from(&b"PING\nGET a\r\n\n"[..])))
    );
    assert_eq!(codec.decode(&mut buffer).unwrap(), None);
    buffer.extend_from_slice(b" b\n");
    assert_eq!(codec.decode(&mut buffer).unwrap(), Some(Frame::Lines(BytesMut::from(&b"GET b\n"[..]))));

    let mut buffer = BytesMut::from(&b"PING\n".repeat(CHUNK_BYTES)[..]);
    let Some(Frame::Lines(chunk)) = codec.decode(&mut buffer).unwrap() else { panic!("lines were due") };
    assert_eq!(chunk.len(), CHUNK_BYTES / 5 * 5);
}

#[test]
fn a_small_limit_yields_one_line_at_a_time_and_may_be_lifted_between_two() {
    let mut codec = LineCodec::new(LineLimits::all(8));
    let mut buffer = BytesMut::from(&b"AUTH x\nGET a-long-key\n"[..]);
    assert_eq!(codec.decode(&mut buffer).unwrap(), Some(Frame::Lines(BytesMut::from(&b"AUTH x\n"[..]))));
    codec.set_limits(LineLimits::all(1 << 20));
    assert_eq!(
        codec.decode(&mut buffer).unwrap(),
        Some(Frame::Lines(BytesMut::from(&b"GET a-long-key\n"[..])))
    );
}

#[test]
fn a_line_over_the_limit_is_told_in_order_and_the_next_is_read() {
    let input = [&b"PING\n"[..], &b"x".repeat(11), b"\nPING\n", &b"x".repeat(10), b"\n"].concat();
    let expected = [line("PING"), Seen::TooLong, line("PING"), line(&"x".repeat(10))];
    assert_eq!(decode(10, [&input[..]]), expected);
}

#[test]
fn sixteen_times_the_limit_is_the_end() {
    let longest = [b"x".repeat(160), b"\nPING\n".to_vec()].concat();
    assert_eq!(decode(10, longest.chunks(7)), [Seen::TooLong, line("PING")]);
    let longer = [b"x".repeat(161), b"\nPING\n".to_vec()].concat();
    assert_eq!(decode(10, longer.chunks(7)), [Seen::Overrun]);
}

#[test]
fn a_transaction_alone_may_be_longer() {
    let limits = LineLimits { line_bytes: 10, transaction_bytes: 40 };
    let long = |verb: &str, length: usize| format!("{verb} {}\n", "x".repeat(length - verb.len() - 1));
    for verb in ["TXN", "txn", "  Txn"] {
        let input =
            [long(verb, 40), long(verb, 41), long(verb, 640), "PING\n".into(), long(verb, 641)].concat();
        let expected =
            [line(long(verb, 40).trim_end()), Seen::TooLong, Seen::TooLong, line("PING"), Seen::Overrun];
        for cut in [1, 7, 40, input.len()] {
            assert_eq!(decode_with(limits, input.as_bytes().chunks(cut)), expected, "{cut}");
        }
    }
    for verb in ["TXNS", "SET", "TXN\t", "          TXN"] {
        let input = long(verb, 30) + "PING\n";
        for cut in [1, 7, input.len()] {
            assert_eq!(
                decode_with(limits, input.as_bytes().chunks(cut)),
                [Seen::TooLong, line("PING")],
                "{verb}"
            );
        }
    }
    // Where transactions may have less than other lines, it is the same for all.
    let limits = LineLimits { line_bytes: 10, transaction_bytes: 0 };
    assert_eq!(decode_with(limits, [&b"TXN {}\nTXN {    }\n"[..]]), [line("TXN {}"), line("TXN {    }")]);
}

#[test]
fn an_overrun_is_one_even_where_it_is_http() {
    let request = format!("GET /{} HTTP/1.1\r\nDEL a\n", "x".repeat(200));
    for cut in [1, 7, request.len()] {
        assert_eq!(decode(10, request.as_bytes().chunks(cut)), [Seen::Overrun], "{cut}");
    }
}

#[test]
fn an_unterminated_last_line_comes_after_all_others_and_is_not_executed() {
    assert_eq!(decode(100, [&b"PING\nDEL a"[..]]), [line("PING"), Seen::Incomplete]);
    assert_eq!(decode(100, [&b"PING\n"[..]]), [line("PING")]);
    assert_eq!(decode(3, [&b"PING"[..]]), [Seen::Incomplete]);
    assert_eq!(decode(100, [&b""[..]]), []);
}

#[test]
fn http_is_refused_on_the_first_line_alone() {
    assert_eq!(decode(100, [&b"GET / HTTP/1.1\r\nHost: here\r\n\r\nSET a 1\n"[..]]), [Seen::Http]);
    assert_eq!(decode(100, [&b"\r\n\nHost: here\r\n"[..]]), [Seen::Http]);
    assert_eq!(decode(100, [&b"PING\nHost: here\n"[..]]), [line("PING"), line("Host: here")]);
}

#[test]
fn http_is_refused_even_where_its_first_line_is_over_the_limit() {
    let request = format!("POST /{} HTTP/1.1\r\n\r\nDEL a\n", "x".repeat(100));
    for cut in 1..request.len() {
        assert_eq!(decode(50, request.as_bytes().chunks(cut)), [Seen::Http], "{cut}");
    }
}

#[test]
fn a_tls_handshake_is_told_by_its_first_byte() {
    assert_eq!(decode(100, [&b"\x16"[..]]), [Seen::Tls]);
    assert_eq!(decode(3, [&b"\r\n\n\x16\x03\x01\x02\x00\x01\nDEL a\n"[..]]), [Seen::Tls]);
    assert_eq!(decode(100, [&b"PING\n\x16\n"[..]]), [line("PING"), line("\x16")]);
}
