-- An order that rests at a trade's target has a purpose of its own. Safe to run again.

alter table public.orders drop constraint if exists orders_purpose_check;
alter table public.orders add constraint orders_purpose_check check (purpose in ('entry', 'exit', 'target'));

insert into public.schema_migrations (version) values ('20261121180000') on conflict do nothing;
notify pgrst, 'reload schema';
