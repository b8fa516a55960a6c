-- mk.apply_fence: refs keep out what names nobody, erased accounts stay out, a step without its fence is not done. Expand only.

SET ROLE mk_owner;
-- include: apply_fence.sql 0796d9ca9c4830da
RESET ROLE;
