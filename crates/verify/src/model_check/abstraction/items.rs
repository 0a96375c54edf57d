//! The items of the lists that are tried: all combinations of their aspects if there are few, otherwise each aspect separately.

use serde_json::{Map, Value};

/// Most kinds of items of which all combinations are tried.
const MOST_KINDS: usize = 16;

/// The answers of an item, by the names of questions.
pub(in crate::model_check) type Item = Map<String, Value>;

/// Items of every combination of these aspects, if there are few; otherwise of every value of one aspect, with the first value
/// of the others. Also returns whether these are all combinations.
pub(in crate::model_check) fn combined(aspects: &[Vec<Item>]) -> (Vec<Item>, bool) {
    let with =
        |item: &Item, more: &Item| item.iter().chain(more).map(|(k, v)| (k.clone(), v.clone())).collect();
    let count = aspects.iter().try_fold(1, |count: usize, aspect| count.checked_mul(aspect.len()));
    if count.is_some_and(|count| count <= MOST_KINDS) {
        let kinds = aspects.iter().fold(vec![Item::new()], |kinds: Vec<Item>, aspect| {
            kinds.iter().flat_map(|item| aspect.iter().map(move |more| with(item, more))).collect()
        });
        return (kinds, true);
    }
    let first =
        aspects.iter().filter_map(|aspect| aspect.first()).fold(Item::new(), |item, more| with(&item, more));
    let others = aspects.iter().flat_map(|aspect| aspect.iter().skip(1)).map(|more| with(&first, more));
    let last =
        aspects.iter().filter_map(|aspect| aspect.last()).fold(Item::new(), |item, more| with(&item, more));
    (std::iter::once(first.clone()).chain(others).chain([last]).collect(), false)
}

/// Lists of `length` items of these kinds: all, if they are few; otherwise those in which one item differs from the rest.
/// Also returns whether these are all lists.
pub(in crate::model_check) fn lists_of(length: usize, kinds: &[Item]) -> (Vec<Vec<Value>>, bool) {
    let of = |item: &Item| Value::Object(item.clone());
    let count = u32::try_from(length).ok().and_then(|length| kinds.len().checked_pow(length));
    if length == 1 || count.is_some_and(|count| count <= MOST_KINDS * 2) {
        let longer = |lists: Vec<Vec<Value>>, _| -> Vec<Vec<Value>> {
            let with = |list: &Vec<Value>, item| list.iter().cloned().chain([of(item)]).collect();
            lists.iter().flat_map(|list| kinds.iter().map(move |item| with(list, item))).collect()
        };
        return ((0..length).fold(vec![Vec::new()], longer), true);
    }
    let rest = vec![of(&kinds[0]); length - 1];
    let odd_first = kinds.iter().map(|item| std::iter::once(of(item)).chain(rest.iter().cloned()).collect());
    let odd_last = kinds[1..].iter().map(|item| rest.iter().cloned().chain([of(item)]).collect());
    (odd_first.chain(odd_last).collect(), false)
}
