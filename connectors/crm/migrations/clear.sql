-- SPDX-License-Identifier: Apache-2.0
-- Empties what the log fills: another log begins. The copy was made before (store.c).
DELETE FROM log;
DELETE FROM fences;
DELETE FROM customers;
DELETE FROM keys;
DELETE FROM attributes;
DELETE FROM interactions;
DELETE FROM orders;
DELETE FROM order_lines;
DELETE FROM quotes;
DELETE FROM quote_lines;
DELETE FROM consents;
DELETE FROM erasures;
DELETE FROM merges;
