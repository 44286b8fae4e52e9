//! The opcodes. Nothing that stands here calls anything but itself.

use std::collections::HashMap;

use super::{Callable, MOST_VALUES, PickleError, Place, Storage, Tensor, Value, Values};
use crate::pipeline::weights::dtype::Dtype;

pub(super) fn run(bytes: &[u8]) -> Result<Values<'_>, PickleError> {
    Machine { rest: bytes, values: vec![], stack: vec![], marks: vec![], memo: HashMap::new() }.run()
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<Place>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Values<'a>, PickleError> {
        loop {
            match self.byte()? {
                b'\x80' => drop(self.byte()?),
                // A frame's length helps only readers of streams.
                b'\x95' => drop(self.take(8)?),
                b'.' => break,
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let place = self.top()?;
                    self.stack.push(place);
                }
                b'N' => self.push(Value::None)?,
                b'\x88' => self.push(Value::Bool(true))?,
                b'\x89' => self.push(Value::Bool(false))?,
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'K' => {
                    let number = self.byte()?;
                    self.push(Value::Int(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'\x8a' => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Float)?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.word(length as usize)?;
                }
                b'\x8c' | b'U' => {
                    let length = self.byte()?;
                    self.word(length.into())?;
                }
                b'\x8d' => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.word(usize::try_from(length).unwrap_or(usize::MAX))?;
                }
                b')' => self.push(Value::Tuple(vec![]))?,
                b'\x85' => self.tuple(1)?,
                b'\x86' => self.tuple(2)?,
                b'\x87' => self.tuple(3)?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b']' => self.push(Value::List(vec![]))?,
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b'}' => self.push(Value::Dict(vec![]))?,
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dict(vec![]))?;
                    self.set(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                b'q' => {
                    let at = self.byte()?;
                    self.remember(at.into())?;
                }
                b'r' => {
                    let at = u32::from_le_bytes(self.array()?);
                    self.remember(at.into())?;
                }
                b'\x94' => self.remember(self.memo.len() as u64)?,
                b'h' => {
                    let at = self.byte()?;
                    self.recall(at.into())?;
                }
                b'j' => {
                    let at = u32::from_le_bytes(self.array()?);
                    self.recall(at.into())?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                b'\x93' => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    match (&self.values[module], &self.values[name]) {
                        (Value::Word(module), Value::Word(name)) => self.global(module, name)?,
                        _ => return Err(broken("names a global by something that is no name")),
                    }
                }
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                b'b' => self.build()?,
                code => {
                    return Err(PickleError::Refused(format!("the pickle opcode {:?}", char::from(code))));
                }
            }
        }
        match self.stack[..] {
            [root] => Ok(Values { values: self.values, root }),
            _ => Err(broken("does not end with one value")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| broken("is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| broken("is cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| broken("is cut short"))?;
        let line = text(self.take(length)?)?;
        self.byte()?;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        if self.values.len() == MOST_VALUES {
            return Err(broken(format!("makes more than {MOST_VALUES} values")));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    /// What stands below a mark is out of reach until the mark is taken away.
    fn pop(&mut self) -> Result<Place, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let place = if self.stack.len() > floor { self.stack.pop() } else { None };
        place.ok_or_else(|| broken("takes from an empty stack"))
    }

    fn top(&self) -> Result<Place, PickleError> {
        self.stack.last().copied().ok_or_else(|| broken("looks at an empty stack"))
    }

    fn since_mark(&mut self) -> Result<Vec<Place>, PickleError> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        mark.map(|mark| self.stack.split_off(mark)).ok_or_else(|| broken("closes what was not opened"))
    }

    fn word(&mut self, length: usize) -> Result<(), PickleError> {
        let word = text(self.take(length)?)?;
        self.push(Value::Word(word))
    }

    fn long(&mut self) -> Result<(), PickleError> {
        let length = self.byte()?;
        let bytes = self.take(length.into())?;
        if bytes.len() > 8 {
            return Err(broken("holds a number beyond 64 bits"));
        }
        let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn tuple(&mut self, count: usize) -> Result<(), PickleError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Place>) -> Result<(), PickleError> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => list.extend(items),
            _ => return Err(broken("appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<Place>) -> Result<(), PickleError> {
        let top = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else { return Err(broken("has a key without a value")) };
        match &mut self.values[top] {
            Value::Dict(dict) => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(broken("puts a key into what is no dict")),
        }
        Ok(())
    }

    fn remember(&mut self, at: u64) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: u64) -> Result<(), PickleError> {
        let place = self.memo.get(&at).ok_or_else(|| broken("recalls what it did not remember"))?;
        self.stack.push(*place);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), PickleError> {
        let value = match (module, name) {
            ("collections", "OrderedDict") => Value::Callable(Callable::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Value::Callable(Callable::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v3") => Value::Callable(Callable::RebuildTensorOfDtype),
            ("torch._utils", "_rebuild_parameter") => Value::Callable(Callable::RebuildParameter),
            ("torch", "Size") => Value::Callable(Callable::Size),
            ("torch.storage", "UntypedStorage") => Value::Class(None),
            _ => {
                let name_in_torch = Some(name).filter(|_| module == "torch");
                let class = name_in_torch.and_then(Dtype::of_storage).map(|dtype| Value::Class(Some(dtype)));
                let dtype = name_in_torch.and_then(Dtype::of_torch).map(Value::Dtype);
                let refused = || PickleError::Refused(format!("`{}.{}`", shortened(module), shortened(name)));
                class.or(dtype).ok_or_else(refused)?
            }
        };
        self.push(value)
    }

    /// `("storage", class, key, device, count)`
    fn storage(&mut self) -> Result<(), PickleError> {
        const WRONG: &str = "refers to what is no storage";
        let id = self.pop()?;
        let Value::Tuple(items) = &self.values[id] else { return Err(broken(WRONG)) };
        let [kind, class, key, ..] = items[..] else { return Err(broken(WRONG)) };
        match (&self.values[kind], &self.values[class], &self.values[key]) {
            (Value::Word("storage"), Value::Class(dtype), Value::Word(key)) => {
                self.push(Value::Storage(Storage { key, dtype: *dtype }))
            }
            _ => Err(broken(WRONG)),
        }
    }

    fn call(&mut self) -> Result<(), PickleError> {
        const WRONG: &str = "builds a tensor in a way that torch does not";
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Callable(callable)) = (&self.values[arguments], &self.values[callable])
        else {
            return Err(broken(WRONG));
        };
        let first = arguments.first().copied();
        match (callable, first.map(|place| &self.values[place])) {
            (Callable::OrderedDict, None) => self.push(Value::Dict(vec![])),
            // What they wrap is what they are, to us.
            (Callable::Size, Some(Value::Tuple(_))) | (Callable::RebuildParameter, Some(Value::Tensor(_))) => {
                self.stack.extend(first);
                Ok(())
            }
            (Callable::RebuildTensor | Callable::RebuildTensorOfDtype, Some(Value::Storage(storage))) => {
                let tensor = self.tensor(*storage, *callable, arguments).ok_or_else(|| broken(WRONG))?;
                self.push(Value::Tensor(tensor))
            }
            _ => Err(broken(WRONG)),
        }
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks[, dtype])`
    fn tensor(&self, storage: Storage<'a>, callable: Callable, arguments: &[Place]) -> Option<Tensor<'a>> {
        let value = |at: usize| arguments.get(at).map(|place| &self.values[*place]);
        let dtype = match (callable, value(6)) {
            (Callable::RebuildTensorOfDtype, Some(Value::Dtype(dtype))) => *dtype,
            (Callable::RebuildTensorOfDtype, _) => return None,
            _ => storage.dtype?,
        };
        let Value::Int(offset) = value(1)? else { return None };
        let (shape, strides) = (self.numbers(value(2)?)?, self.numbers(value(3)?)?);
        let offset = usize::try_from(*offset).ok()?;
        (shape.len() == strides.len()).then_some(Tensor { storage, dtype, offset, shape, strides })
    }

    fn numbers(&self, value: &Value<'a>) -> Option<Vec<usize>> {
        let Value::Tuple(items) = value else { return None };
        let number = |item: &Place| match &self.values[*item] {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        // No tensor has more sides than torch allows.
        if items.len() > 64 { None } else { items.iter().map(number).collect() }
    }

    /// A state dict carries notes on its modules, which nobody here reads; nothing else has a state.
    fn build(&mut self) -> Result<(), PickleError> {
        self.pop()?;
        match self.values[self.top()?] {
            Value::Dict(_) => Ok(()),
            _ => Err(broken("gives a state to what has none")),
        }
    }
}

fn broken(problem: impl Into<String>) -> PickleError {
    PickleError::Broken(problem.into())
}

fn text(bytes: &[u8]) -> Result<&str, PickleError> {
    std::str::from_utf8(bytes).map_err(|_| broken("holds a word that is no UTF-8"))
}

/// A name can be as long as the file.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}
