//! Python's pickles, as far as they hold what JSON can say: what a run was given (`conf`) is one before Airflow 3.0. Nothing is carried
//! out: an instruction that makes an object of a class is refused.
//!
//! Source of the instructions: CPython's `Lib/pickletools.py`, protocols 2 to 5.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most bytes of texts that are repeated: a pickle of a few bytes can stand for as many as it likes.
const MOST_REPEATED: usize = 16 << 20;

/// What a pickle holds; `None` when that is more than JSON can say, or it is damaged.
pub fn read(bytes: &[u8]) -> Option<Value> {
    let mut machine =
        Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), repeated: 0 };
    while !machine.step()? {}
    machine.stack.pop()
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    /// Where in the stack what belongs together begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    repeated: usize,
}

impl Machine<'_> {
    // True at the end.
    fn step(&mut self) -> Option<bool> {
        let [instruction] = self.array()?;
        match instruction {
            b'.' => return Some(true),
            // The protocol, and the length of what follows.
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::Null),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(instruction)?,
            0x8c | b'X' => self.text(instruction)?,
            b'}' => self.stack.push(Value::Object(Map::new())),
            b']' | b')' => self.stack.push(Value::Array(Vec::new())),
            b's' | b'u' => self.set_items(instruction == b'u')?,
            b'a' | b'e' => self.append(instruction == b'e')?,
            b't' => self.tuple(None)?,
            0x85..=0x87 => self.tuple(Some(usize::from(instruction - 0x84)))?,
            0x94 | b'q' | b'r' | b'h' | b'j' => self.remember(instruction)?,
            _ => return None,
        }
        Some(false)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn slice(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, instruction: u8) -> Option<()> {
        let value = match instruction {
            b'K' => Value::from(self.array::<1>()?[0]),
            b'M' => Value::from(u16::from_le_bytes(self.array()?)),
            b'J' => Value::from(i32::from_le_bytes(self.array()?)),
            b'G' => Value::from(f64::from_be_bytes(self.array()?)),
            _ => {
                let [length] = self.array()?;
                Value::from(integer(self.slice(usize::from(length))?)?)
            }
        };
        self.stack.push(value);
        Some(())
    }

    fn text(&mut self, instruction: u8) -> Option<()> {
        let length = match instruction {
            0x8c => u32::from(self.array::<1>()?[0]),
            _ => u32::from_le_bytes(self.array()?),
        };
        let text = std::str::from_utf8(self.slice(usize::try_from(length).ok()?)?).ok()?;
        let value = Value::from(text);
        self.stack.push(value);
        Some(())
    }

    fn set_items(&mut self, several: bool) -> Option<()> {
        let items = self.items(if several { None } else { Some(2) })?;
        let object = self.stack.last_mut()?.as_object_mut()?;
        for pair in items.chunks(2) {
            let [Value::String(key), value] = pair else { return None };
            object.insert(key.clone(), value.clone());
        }
        Some(())
    }

    fn append(&mut self, several: bool) -> Option<()> {
        let items = self.items(if several { None } else { Some(1) })?;
        self.stack.last_mut()?.as_array_mut()?.extend(items);
        Some(())
    }

    fn tuple(&mut self, count: Option<usize>) -> Option<()> {
        let items = self.items(count)?;
        self.stack.push(Value::Array(items));
        Some(())
    }

    // The last values of the stack: so many, or those since the last mark.
    fn items(&mut self, count: Option<usize>) -> Option<Vec<Value>> {
        let from = match count {
            Some(count) => self.stack.len().checked_sub(count)?,
            None => self.marks.pop()?,
        };
        (from <= self.stack.len()).then(|| self.stack.split_off(from))
    }

    // Pickles name what they repeat. A list or dictionary is named while it is still empty, so that it must not be repeated.
    fn remember(&mut self, instruction: u8) -> Option<()> {
        let place = match instruction {
            0x94 => u32::try_from(self.memo.len()).ok()?,
            b'q' | b'h' => u32::from(self.array::<1>()?[0]),
            _ => u32::from_le_bytes(self.array()?),
        };
        if matches!(instruction, b'h' | b'j') {
            let known = self.memo.get(&place)?.clone();
            self.repeated += known.as_str().map_or(0, str::len);
            let is_whole = !known.is_object() && !known.is_array();
            return (is_whole && self.repeated <= MOST_REPEATED).then(|| self.stack.push(known));
        }
        self.memo.insert(place, self.stack.last()?.clone());
        Some(())
    }
}

// Two's complement, least significant byte first, as short as possible.
fn integer(bytes: &[u8]) -> Option<i64> {
    let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut whole = if is_negative { [0xff; 8] } else { [0; 8] };
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(whole))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Each was written by Python: `pickle.dumps(value, protocol).hex()`.
    const PICKLES: [&str; 3] = [
        "80027d71002858010000006e71014b01580300000062696771024a7011010058030000006e656771034afdffffff580400000068756765\
         71048a05351cdcdf025801000000667105473ff800000000000058010000007371065802000000c3a97107580100000074710888580200\
         00006e6f71094e58010000006c710a5d710b284b01580100000061710c5d710d4b02616558010000006f710e7d710f5801000000787110\
         7d711173580300000064757071125d711328680c680c65580300000074757071144b014b0286711558010000006571165d7117752e",
        "80049590000000000000007d94288c016e944b018c03626967944a701101008c036e6567944afdffffff8c0468756765948a05351cdcdf\
         028c016694473ff80000000000008c0173948c02c3a9948c017494888c026e6f944e8c016c945d94284b018c0161945d944b0261658c01\
         6f947d948c0178947d94738c03647570945d9428680c680c658c03747570944b014b0286948c0165945d94752e",
        "80059590000000000000007d94288c016e944b018c03626967944a701101008c036e6567944afdffffff8c0468756765948a05351cdcdf\
         028c016694473ff80000000000008c0173948c02c3a9948c017494888c026e6f944e8c016c945d94284b018c0161945d944b0261658c01\
         6f947d948c0178947d94738c03647570945d9428680c680c658c03747570944b014b0286948c0165945d94752e",
    ];

    fn bytes(digits: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn what_json_can_say_is_read_and_nothing_is_made_of_a_class() {
        let value = json!({
            "n": 1, "big": 70000, "neg": -3, "huge": 12_345_678_901_i64, "f": 1.5, "s": "é", "t": true, "no": null,
            "l": [1, "a", [2]], "o": {"x": {}}, "dup": ["a", "a"], "tup": [1, 2], "e": []
        });
        for pickle in PICKLES {
            assert_eq!(read(&bytes(pickle)).as_ref(), Some(&value));
        }
        assert_eq!(read(&bytes("80057d942e")), Some(json!({})));
        let date = "80059520000000000000008c086461746574696d65948c0464617465949394430407ea010194859452942e";
        assert_eq!(read(&bytes(date)), None);
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let whole = bytes(PICKLES[2]);
        assert!((0..whole.len()).all(|length| read(&whole[..length]).is_none()));
        for at in 0..whole.len() {
            for found in [0, b'.', b'h', b'u', b't', 0x87, 0x8a, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = found;
                drop(read(&damaged));
            }
        }
        let repeated =
            [&bytes("80055d948c")[..], &[255], &[b'x'; 255], &[0x94, b'('], &b"h\x01".repeat(70_000), b"e."];
        assert_eq!(read(&repeated.concat()), None, "a text of 255 bytes 70,000 times");
    }
}
