//! The vocabulary file written back, byte for byte as it was read.
//!
//! Knows the layout only; a new vocabulary's records come from `assemble`.

use super::format::{NONE, Vocab};

impl Vocab {
    /// The bytes of the vocabulary file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![
            self.capcode.header(),
            self.charset,
            self.norm,
            self.mode,
            self.byte_set,
            self.reserved[0],
            self.reserved[1],
            self.reserved[2],
        ];
        optional(&mut out, self.unk_id);
        u24(&mut out, self.ids_in_use);
        u24(&mut out, self.id_space);
        u24(&mut out, self.records.len() as u32);
        optional(&mut out, self.delete_id);
        out.push(self.max_len);
        for record in &self.records {
            bytes(&mut out, &record.bytes);
            out.push(record.flags);
            out.push(record.n_words);
            optional(&mut out, record.alt1);
            optional(&mut out, record.alt2);
            u24(&mut out, record.id);
            out.extend(record.score.to_le_bytes());
        }
        out.extend(self.cls);
        u24(&mut out, self.deleted.len() as u32);
        for deleted in &self.deleted {
            bytes(&mut out, &deleted.bytes);
            optional(&mut out, deleted.id);
            out.extend(deleted.score.to_le_bytes());
        }
        out
    }
}

fn u24(out: &mut Vec<u8>, value: u32) {
    out.extend(&value.to_le_bytes()[..3]);
}

fn optional(out: &mut Vec<u8>, value: Option<u32>) {
    u24(out, value.unwrap_or(NONE));
}

fn bytes(out: &mut Vec<u8>, token: &[u8]) {
    out.push(token.len() as u8);
    out.extend_from_slice(token);
}
